// Drops datagrams to ports of the dynamic range and of the usual discovery
// protocols (SSDP, mDNS, LLMNR, NetBIOS): chatter that servers seldom consume.
#include "net_rx.h"

SECTION("xdp") int stray_datagrams(struct net_rx_context *context)
{
	const struct frame *frame = plain_ipv4(context);
	u16 port;

	if (!frame || frame->protocol != PROTOCOL_UDP)
		return NET_RX_PASS;
	port = NETWORK_ORDER(frame->destination_port);
	if (port >= 32768)
		return NET_RX_DROP;
	switch (port) {
	case 137:
	case 138:
	case 1900:
	case 5353:
	case 5355:
		return NET_RX_DROP;
	}
	return NET_RX_PASS;
}
