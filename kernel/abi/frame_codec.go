package abi

// Frames are written and read here, by the kernel and by the host alike. The
// reader is a function of bytes alone: no state survives a call, so a channel
// that dropped or invented bytes costs the frames it touched and nothing else.

const (
	fnv32Offset = 0x811c9dc5
	fnv32Prime  = 0x01000193

	// frameMagicFirst is the first byte of FrameMagic in memory: what a
	// resynchronising reader looks for.
	frameMagicFirst = byte(FrameMagic & 0xff)
)

// frameChecksum covers the header fields that choose the meaning of the
// payload, and the payload.
func frameChecksum(kind uint16, sequence uint32, payload []byte) uint32 {
	var head [10]byte
	put16(head[0:], kind)
	put32(head[2:], uint32(len(payload)))
	put32(head[6:], sequence)
	sum := uint32(fnv32Offset)
	for _, b := range head {
		sum = (sum ^ uint32(b)) * fnv32Prime
	}
	for _, b := range payload {
		sum = (sum ^ uint32(b)) * fnv32Prime
	}
	return sum
}

// PutFrame writes a whole frame to dst and returns its length, or 0 when dst
// is too short or the payload exceeds FramePayloadMax. A payload that already
// lies at dst[FrameHeaderBytes:] is not copied twice.
func PutFrame(dst []byte, kind uint16, sequence uint32, payload []byte) int {
	total := FrameHeaderBytes + len(payload)
	if len(payload) > FramePayloadMax || len(dst) < total {
		return 0
	}
	copy(dst[FrameHeaderBytes:total], payload)
	header := FrameHeader{
		Magic:    FrameMagic,
		Version:  Version,
		Type:     kind,
		Length:   uint32(len(payload)),
		Sequence: sequence,
		Checksum: frameChecksum(kind, sequence, dst[FrameHeaderBytes:total]),
	}
	header.Put(dst)
	return total
}

// ParseFrame looks at the start of buf. The caller drops the first consumed
// bytes, whatever the code:
//
//	OK            one frame; payload lies inside buf
//	ErrTruncated  consumed is 0: the frame may be good, more bytes are needed
//	ErrChecksum   the frame is discarded whole; its header is returned so that
//	              the reader can answer with its sequence number
//	otherwise     not a header: at least one byte is skipped, up to the next
//	              byte that can begin one
func ParseFrame(buf []byte) (header FrameHeader, payload []byte, consumed int, code Code) {
	if len(buf) == 0 {
		return FrameHeader{}, nil, 0, ErrTruncated
	}
	if !beginsFrame(buf) {
		return FrameHeader{}, nil, skipToMagic(buf), ErrMagic
	}
	if header.Get(buf) != OK {
		return FrameHeader{}, nil, 0, ErrTruncated
	}
	if code = header.check(); code != OK {
		return FrameHeader{}, nil, skipToMagic(buf), code
	}
	total := FrameHeaderBytes + int(header.Length)
	if len(buf) < total {
		return FrameHeader{}, nil, 0, ErrTruncated
	}
	payload = buf[FrameHeaderBytes:total]
	if frameChecksum(header.Type, header.Sequence, payload) != header.Checksum {
		return header, nil, total, ErrChecksum
	}
	return header, payload, total, OK
}

// check judges what can be judged before the payload is there.
func (v *FrameHeader) check() Code {
	switch {
	case v.Version != Version:
		return ErrVersion
	case v.Length > FramePayloadMax:
		return ErrTooLarge
	case v.Reserved != 0:
		return ErrBadValue
	}
	return OK
}

// beginsFrame compares as much of the magic as buf holds.
func beginsFrame(buf []byte) bool {
	magic := uint32(FrameMagic)
	for i := 0; i < 4 && i < len(buf); i++ {
		if buf[i] != byte(magic>>(8*i)) {
			return false
		}
	}
	return true
}

// skipToMagic returns the distance to the next byte that can begin a frame,
// at least 1 and at most len(buf).
func skipToMagic(buf []byte) int {
	for i := 1; i < len(buf); i++ {
		if buf[i] == frameMagicFirst {
			return i
		}
	}
	return len(buf)
}
