// What each CPU remembers about source addresses: how many packets in the
// current window, and since when. A window is HOOK_FLOW_WINDOW_PACKETS packets
// of this CPU, not a span of time, so that a count does not depend on how fast
// the programs before it were.
//
// 256 sets of 4 ways, 24 bytes per entry: 24 KiB per CPU. A full set gives up
// the entry that was silent longest.
#include "core/hook/internal.h"
#include "core/lib/string.h"
#include "core/mem/page.h"

enum {
	TABLE_BYTES = FLOW_SETS * FLOW_WAYS * sizeof(struct flow),
	TABLE_PAGE_ORDER = 3, // 32 KiB
};
_Static_assert(TABLE_BYTES <= (PAGE_BYTES << TABLE_PAGE_ORDER), "table fits");

bool flow_init(struct flow_table *table)
{
	table->sets = page_alloc(TABLE_PAGE_ORDER);
	if (table->sets == 0) {
		return false;
	}
	flow_reset(table);
	return true;
}

void flow_reset(struct flow_table *table)
{
	if (table->sets != 0) {
		memset(table->sets, 0, TABLE_BYTES);
	}
}
