; type: xdp
; The filter of bpf/net-rx: a port list of ordinary length over real packets.
; It uses nothing but struct xdp_md, so Linux loads the same bytes.
	r2 = *(u32 *)(r1 + 0)
	r3 = *(u32 *)(r1 + 4)
	r4 = r2
	r4 += 38
	if r4 > r3 goto pass
	r5 = *(u16 *)(r2 + 12)
	if r5 != 8 goto pass
	r5 = *(u8 *)(r2 + 14)
	if r5 != 69 goto pass
	r5 = *(u8 *)(r2 + 23)
	r6 = *(u16 *)(r2 + 36)
	r6 = be16 r6
	if r5 == 6 goto tcp
	if r5 != 17 goto pass
	if r6 == 53 goto pass
	if r6 == 123 goto pass
	goto drop
tcp:
	if r6 == 22 goto pass
	if r6 == 53 goto pass
	if r6 == 80 goto pass
	if r6 == 443 goto pass
	if r6 == 8080 goto pass
drop:
	r0 = 1
	exit
pass:
	r0 = 2
	exit
