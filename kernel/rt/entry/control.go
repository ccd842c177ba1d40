// Exports of the control thread: find frames, answer what the services answer.

package main

import (
	"github.com/kingly-os/go-kernel/kernel/abi"
	"github.com/kingly-os/go-kernel/kernel/rt"
)

// pingBytesMax is what MessagePing may carry.
const pingBytesMax = 64

// noOffset says that a refusal concerns the request and no byte of it.
const noOffset = 0xffffffff

// reply is the control thread's outgoing frame; one thread, so one is enough.
var reply [abi.FrameHeaderBytes + pingBytesMax]byte

//export svc_control_scan
func svcControlScan(bytes *byte, count, _, _, _, _ uint64) uint64 {
	_, _, consumed, code := abi.ParseFrame(view(bytes, count))
	return answer(code, uint32(consumed))
}

//export svc_control
func svcControl(bytes *byte, count, _, _, _, _ uint64) uint64 {
	header, payload, _, code := abi.ParseFrame(view(bytes, count))
	if code != abi.OK {
		return answer(code, 0)
	}
	return answer(handle(&header, payload), 0)
}

// handle answers one request. What the pipeline has taken it answers itself,
// later; everything else is answered here, once.
func handle(header *abi.FrameHeader, payload []byte) (code abi.Code) {
	offset := uint32(noOffset)
	switch header.Type {
	case abi.MessagePing:
		if len(payload) <= pingBytesMax {
			rt.SendFrame(reply[:abi.PutFrame(reply[:], abi.MessagePong, header.Sequence, payload)])
			return abi.OK
		}
		code, offset = abi.ErrTooLarge, pingBytesMax
	case abi.MessageInstall:
		code = install(header.Sequence, payload)
	case abi.MessageRollback:
		code = rollback(header.Sequence, payload)
	default:
		code = abi.ErrUnsupported
	}
	if code != abi.OK {
		refuse(header.Sequence, code, offset)
	}
	return code
}

func install(sequence uint32, payload []byte) abi.Code {
	var request abi.InstallRequest
	if code := request.Get(payload); code != abi.OK {
		return code
	}
	return services.Install(sequence, &request, payload[abi.InstallRequestBytes:])
}

func rollback(sequence uint32, payload []byte) abi.Code {
	var request abi.RollbackRequest
	if len(payload) != abi.RollbackRequestBytes {
		return abi.ErrBadLength
	}
	request.Get(payload)
	return services.Rollback(sequence, request.Hook)
}

func refuse(sequence uint32, code abi.Code, offset uint32) {
	var payload [abi.ErrorReplyBytes]byte
	(&abi.ErrorReply{Code: code, Offset: offset}).Put(payload[:])
	rt.SendFrame(reply[:abi.PutFrame(reply[:], abi.MessageError, sequence, payload[:])])
}
