// Classic pcap files, as tcpdump -w writes them: one 24-byte header, then
// records of 16 bytes and a packet. Both byte orders and both clocks (micro-
// and nanoseconds) are read; little-endian nanoseconds are written.

package capture

import (
	"encoding/binary"
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

const (
	pcapHeaderBytes  = 24
	recordBytes      = 16
	magicMicro       = 0xa1b2c3d4
	magicNano        = 0xa1b23c4d
	linkTypeEthernet = 1
	pcapVersionMajor = 2
	pcapVersionMinor = 4

	// FileBytesMax bounds a capture file; a job could not carry a larger one.
	FileBytesMax = abi.JobBytesMax
)

// Packet is one captured Ethernet frame.
type Packet struct {
	TimeNS uint64 // since the recording began
	Bytes  []byte
}

// FormatError says what a file holds that it must not, and where.
type FormatError struct {
	Offset int // byte of the file
	Code   abi.Code
	What   string
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("byte %d: %s (code %d)", e.Offset, e.What, e.Code)
}

func formatError(offset int, code abi.Code, format string, arguments ...any) error {
	return &FormatError{Offset: offset, Code: code, What: fmt.Sprintf(format, arguments...)}
}

// ReadPcap parses a whole file. The packets alias data.
func ReadPcap(data []byte) ([]Packet, error) {
	if len(data) > FileBytesMax {
		return nil, formatError(FileBytesMax, abi.ErrTooLarge, "%d bytes, at most %d", len(data), FileBytesMax)
	}
	order, unitNS, err := readPcapHeader(data)
	if err != nil {
		return nil, err
	}
	var packets []Packet
	for at := pcapHeaderBytes; at < len(data); {
		if len(packets) == abi.TracePacketsMax {
			return nil, formatError(at, abi.ErrTooLarge, "more than %d packets", abi.TracePacketsMax)
		}
		if len(data)-at < recordBytes {
			return nil, formatError(at, abi.ErrTruncated, "packet header ends after %d of %d bytes", len(data)-at, recordBytes)
		}
		record := data[at : at+recordBytes]
		fraction, kept, wire := order.Uint32(record[4:]), order.Uint32(record[8:]), order.Uint32(record[12:])
		switch {
		case uint64(fraction)*unitNS >= 1e9:
			return nil, formatError(at+4, abi.ErrBadValue, "fraction %d is a second or more", fraction)
		case kept != wire:
			return nil, formatError(at+8, abi.ErrBadLength, "only %d of %d bytes were captured", kept, wire)
		case kept > abi.PacketBytesMax:
			return nil, formatError(at+8, abi.ErrTooLarge, "packet of %d bytes, at most %d", kept, abi.PacketBytesMax)
		case int(kept) > len(data)-at-recordBytes:
			return nil, formatError(at+recordBytes, abi.ErrTruncated, "packet ends after %d of %d bytes", len(data)-at-recordBytes, kept)
		}
		from := at + recordBytes
		packets = append(packets, Packet{
			TimeNS: uint64(order.Uint32(record[0:]))*1e9 + uint64(fraction)*unitNS,
			Bytes:  data[from : from+int(kept) : from+int(kept)],
		})
		at = from + int(kept)
	}
	return packets, nil
}

func readPcapHeader(data []byte) (order binary.ByteOrder, unitNS uint64, err error) {
	if len(data) < pcapHeaderBytes {
		return nil, 0, formatError(len(data), abi.ErrTruncated, "file header ends after %d of %d bytes", len(data), pcapHeaderBytes)
	}
	switch little, big := binary.LittleEndian.Uint32(data), binary.BigEndian.Uint32(data); {
	case little == magicMicro:
		order, unitNS = binary.LittleEndian, 1000
	case little == magicNano:
		order, unitNS = binary.LittleEndian, 1
	case big == magicMicro:
		order, unitNS = binary.BigEndian, 1000
	case big == magicNano:
		order, unitNS = binary.BigEndian, 1
	default:
		return nil, 0, formatError(0, abi.ErrMagic, "magic %#08x is not pcap's (pcapng is not read)", little)
	}
	if major := order.Uint16(data[4:]); major != pcapVersionMajor {
		return nil, 0, formatError(4, abi.ErrVersion, "pcap version %d, only %d is read", major, pcapVersionMajor)
	}
	if link := order.Uint32(data[20:]); link != linkTypeEthernet {
		return nil, 0, formatError(20, abi.ErrUnsupported, "link type %d, only Ethernet (%d) is read", link, linkTypeEthernet)
	}
	return order, unitNS, nil
}

// WritePcap is the inverse of ReadPcap.
func WritePcap(packets []Packet) []byte {
	out := make([]byte, 0, pcapHeaderBytes+len(packets)*128)
	out = binary.LittleEndian.AppendUint32(out, magicNano)
	out = binary.LittleEndian.AppendUint16(out, pcapVersionMajor)
	out = binary.LittleEndian.AppendUint16(out, pcapVersionMinor)
	out = binary.LittleEndian.AppendUint64(out, 0) // time zone and accuracy: always zero
	out = binary.LittleEndian.AppendUint32(out, abi.PacketBytesMax)
	out = binary.LittleEndian.AppendUint32(out, linkTypeEthernet)
	for _, packet := range packets {
		out = binary.LittleEndian.AppendUint32(out, uint32(packet.TimeNS/1e9))
		out = binary.LittleEndian.AppendUint32(out, uint32(packet.TimeNS%1e9))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(packet.Bytes)))
		out = binary.LittleEndian.AppendUint32(out, uint32(len(packet.Bytes)))
		out = append(out, packet.Bytes...)
	}
	return out
}
