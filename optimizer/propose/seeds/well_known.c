// Keeps what administrators usually serve: DNS and NTP over UDP; SSH, SMTP, DNS,
// HTTP and TLS over TCP; all else of both protocols is dropped. Written without
// knowledge of the machine it is to serve, so it may be wrong: that is what the
// experiment finds out.
#include "net_rx.h"

SECTION("xdp") int well_known(struct net_rx_context *context)
{
	const struct frame *frame = plain_ipv4(context);

	if (!frame)
		return NET_RX_PASS;
	if (frame->protocol == PROTOCOL_UDP) {
		switch (frame->destination_port) {
		case NETWORK_ORDER(53):
		case NETWORK_ORDER(123):
			return NET_RX_PASS;
		}
		return NET_RX_DROP;
	}
	if (frame->protocol == PROTOCOL_TCP) {
		switch (frame->destination_port) {
		case NETWORK_ORDER(22):
		case NETWORK_ORDER(25):
		case NETWORK_ORDER(53):
		case NETWORK_ORDER(80):
		case NETWORK_ORDER(443):
		case NETWORK_ORDER(8080):
			return NET_RX_PASS;
		}
		return NET_RX_DROP;
	}
	return NET_RX_PASS;
}
