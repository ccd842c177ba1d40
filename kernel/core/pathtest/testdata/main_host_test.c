// Runs the test named on the command line with the seed behind it.
#include "host.h"

#define TESTS(X)                                                                                                       \
	X(checksum_equals_rfc1071)                                                                                     \
	X(parse_survives_every_cut_and_flip)                                                                           \
	X(parse_survives_noise)                                                                                        \
	X(reset)                                                                                                       \
	X(unreachable)                                                                                                 \
	X(delivery_by_phase)                                                                                           \
	X(many_consumers)                                                                                              \
	X(default_decides_when_the_program_fails)                                                                      \
	X(compiled_code_decides_where_there_is_any)                                                                    \
	X(one_drop_of_64_is_audited)                                                                                   \
	X(full_ring_loses_the_newest_and_counts)                                                                       \
	X(snap_of_every_length)                                                                                        \
	X(flows_count_by_window_and_age)                                                                               \
	X(swap_under_load)                                                                                             \
	X(canary_flag_and_quiescence)                                                                                  \
	X(seed_decides_the_order)                                                                                      \
	X(each_cpu_draws_its_own_flows)                                                                                \
	X(labels_follow_the_phase)                                                                                     \
	X(losses_and_changes_are_seen)                                                                                 \
	X(floor_ends_junk_at_the_source)                                                                               \
	X(steered_packets_are_neither_lost_nor_doubled)                                                                \
	X(hostile_traces_are_refused)                                                                                  \
	X(poll_keeps_the_interval)

#define DECLARE(name) void test_##name(void);
TESTS(DECLARE)

#define ENTRY(name) {#name, test_##name},
static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {TESTS(ENTRY)};

int main(int count, char **arguments)
{
	if (count == 1) {
		for (unsigned i = 0; i < sizeof tests / sizeof tests[0]; i++) {
			printf("%s\n", tests[i].name);
		}
		return 0;
	}
	host_seed = count > 2 ? strtoull(arguments[2], 0, 0) : 1;
	for (unsigned i = 0; i < sizeof tests / sizeof tests[0]; i++) {
		if (strcmp(tests[i].name, arguments[1]) == 0) {
			tests[i].run();
			return 0;
		}
	}
	printf("no test %s\n", arguments[1]);
	return 2;
}
