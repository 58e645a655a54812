// Holds connections open over the loopback, both ends of each, and does what it is told:
//
//     open N      makes connections until there are so many ends
//     reset       takes keep-alive from all of them, and gives them the values that sockets begin with
//     armed       tells how many have keep-alive
//     closed      tells how many the kernel has closed
//     ping MS     asks and answers over its own connections, one after the other, for so long, until a line comes or the
//                 time is over; tells the longest, the 99.9th percentile and the median of these, in nanoseconds, and how
//                 many there were
//
// Each is answered with a line. A process holds as many as it may have descriptors for; for more there are several.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST 1000000
#define PINGED 256
#define MOST_PINGS 2000000

static int *ends, count;
static uint32_t pings[MOST_PINGS];

static void fail(const char *what)
{
	fprintf(stderr, "cannot %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void open_until(int wanted)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, length) || listen(listener, 128) ||
	    getsockname(listener, (struct sockaddr *)&address, &length))
		fail("listen");
	while (count < wanted) {
		int client = socket(AF_INET, SOCK_STREAM, 0);
		if (client < 0 || connect(client, (struct sockaddr *)&address, length))
			fail("connect");
		int server = accept(listener, NULL, NULL);
		if (server < 0)
			fail("accept");
		setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		ends[count++] = client;
		ends[count++] = server;
	}
	close(listener);
}

static void set(int socket, int level, int option, int value)
{
	if (setsockopt(socket, level, option, &value, sizeof(value)))
		fail("set an option");
}

static void reset(void)
{
	for (int i = 0; i < count; i++) {
		set(ends[i], SOL_SOCKET, SO_KEEPALIVE, 0);
		set(ends[i], IPPROTO_TCP, TCP_KEEPIDLE, 7200);
		set(ends[i], IPPROTO_TCP, TCP_KEEPINTVL, 75);
		set(ends[i], IPPROTO_TCP, TCP_KEEPCNT, 9);
	}
}

static int armed(void)
{
	int found = 0;
	for (int i = 0; i < count; i++) {
		int value = 0;
		socklen_t length = sizeof(value);
		getsockopt(ends[i], SOL_SOCKET, SO_KEEPALIVE, &value, &length);
		found += value;
	}
	return found;
}

static int closed(void)
{
	int found = 0;
	for (int i = 0; i < count; i++) {
		struct tcp_info info;
		socklen_t length = sizeof(info);
		if (getsockopt(ends[i], IPPROTO_TCP, TCP_INFO, &info, &length))
			fail("ask for the state of a connection");
		found += info.tcpi_state != TCP_ESTABLISHED;
	}
	return found;
}

static void hand_over(int from, int to)
{
	char byte = 'x';
	if (write(from, &byte, 1) != 1 || read(to, &byte, 1) != 1)
		fail("hand a byte over");
}

static int by_size(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
	return left < right ? -1 : left > right;
}

static void ping(int milliseconds)
{
	long long end = now() + milliseconds * 1000000LL;
	struct pollfd told = { .fd = 0, .events = POLLIN };
	int made = 0, used = count < PINGED ? count / 2 : PINGED / 2;
	// Those that were made last are spread over the tables of the kernel as all are.
	while (made < MOST_PINGS && used) {
		int *pair = ends + count - 2 - 2 * (made % used);
		long long start = now();
		hand_over(pair[0], pair[1]);
		hand_over(pair[1], pair[0]);
		long long stop = now();
		pings[made++] = stop - start;
		if (stop > end || (made % 16 == 0 && poll(&told, 1, 0) > 0))
			break;
	}
	qsort(pings, made, sizeof(*pings), by_size);
	if (!made)
		fail("make a request");
	printf("%u %u %u %d\n", pings[made - 1], pings[(long long)made * 999 / 1000], pings[made / 2], made);
}

int main(void)
{
	char line[128];
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	ends = calloc(MOST, sizeof(*ends));
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		int number = 0;
		if (sscanf(line, "open %d", &number) == 1 && number <= MOST) {
			open_until(number);
			printf("open %d\n", count);
		} else if (!strncmp(line, "reset", 5)) {
			reset();
			printf("reset %d\n", count);
		} else if (!strncmp(line, "armed", 5)) {
			printf("armed %d\n", armed());
		} else if (!strncmp(line, "closed", 6)) {
			printf("closed %d\n", closed());
		} else if (sscanf(line, "ping %d", &number) == 1) {
			ping(number);
		}
	}
	return 0;
}
