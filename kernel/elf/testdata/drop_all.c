// The cheapest filter there is, and the worst: a planted loser.
__attribute__((section("xdp"))) int drop_all(void *context)
{
	(void)context;
	return 1;
}
