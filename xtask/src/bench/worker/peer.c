/*
 * Connections, both ends in one process of one thread, so that no scheduler is measured.
 *
 * Usage: peer ADDRESS SERVER_NETNS CALLS, where SERVER_NETNS is the file of the network namespace that listens, or `-`
 * for this one, and CALLS says who asks for keep-alive by calls of its own: `none`; `both`, each end for itself;
 * `inherit`, the client for itself and the listener for whatever it accepts.
 *
 * Reads what to do, a line each, and answers in numbers:
 *
 * - `look`: of both ends of a connection, SO_KEEPALIVE, idle, interval, probes
 * - `short N`: makes N connections, in each a byte there and a byte back; nanoseconds of CPU time, and of the clock
 * - `echo N`: on one connection, N times a byte there and a byte back; likewise
 * - `bulk N`: on one connection, N times 64 KiB there; likewise
 * - any of these after `armed `: each end asks for keep-alive by calls of its own, this once
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in address = { .sin_family = AF_INET };
static int listener, client_calls, server_calls, listener_calls;

static void set(int connection, int level, int name, int value)
{
	if (setsockopt(connection, level, name, &value, sizeof(value)))
		err(1, "setsockopt");
}

static void arm(int connection)
{
	set(connection, IPPROTO_TCP, TCP_KEEPINTVL, 15);
	set(connection, IPPROTO_TCP, TCP_KEEPCNT, 4);
	set(connection, IPPROTO_TCP, TCP_KEEPIDLE, 60);
	set(connection, SOL_SOCKET, SO_KEEPALIVE, 1);
}

static int new_socket(void)
{
	int made = socket(AF_INET, SOCK_STREAM, 0);

	if (made < 0)
		err(1, "socket");
	return made;
}

static void listen_in(const char *netns)
{
	socklen_t length = sizeof(address);
	int here = open("/proc/self/ns/net", O_RDONLY);

	if (strcmp(netns, "-")) {
		int there = open(netns, O_RDONLY);
		if (there < 0 || setns(there, CLONE_NEWNET))
			err(1, "%s", netns);
	}
	listener = new_socket();
	if (listener_calls)
		arm(listener);
	if (bind(listener, (struct sockaddr *)&address, length) || listen(listener, 8) ||
	    getsockname(listener, (struct sockaddr *)&address, &length))
		err(1, "listen");
	if (here < 0 || setns(here, CLONE_NEWNET))
		err(1, "setns");
}

static int is_armed;

static void open_pair(int *client, int *server)
{
	*client = new_socket();
	if (client_calls || is_armed)
		arm(*client);
	if (connect(*client, (struct sockaddr *)&address, sizeof(address)))
		err(1, "connect");
	*server = accept(listener, NULL, NULL);
	if (*server < 0)
		err(1, "accept");
	if (server_calls || is_armed)
		arm(*server);
}

static void give(int from, int to)
{
	char byte = 'x';

	if (write(from, &byte, 1) != 1 || read(to, &byte, 1) != 1)
		err(1, "a byte");
}

/*
 * The client ends first and waits for the server's end, so that no side goes through a state without an owner, in which
 * the kernel would do otherwise where it may keep no state of closed connections.
 */
static void close_pair(int client, int server)
{
	char byte;

	if (shutdown(client, SHUT_WR) || read(server, &byte, 1) != 0)
		err(1, "shutdown");
	close(server);
	close(client);
}

static long long now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return 1000000000LL * time.tv_sec + time.tv_nsec;
}

static void short_lived(int count)
{
	for (int done = 0; done < count; done++) {
		int client, server;

		open_pair(&client, &server);
		give(client, server);
		give(server, client);
		close_pair(client, server);
	}
}

static void echo(int client, int server, int count)
{
	for (int done = 0; done < count; done++) {
		give(client, server);
		give(server, client);
	}
}

static void bulk(int client, int server, int count)
{
	static char there[65536], here[65536];

	for (int done = 0; done < count; done++) {
		size_t got = 0;

		if (write(client, there, sizeof(there)) != sizeof(there))
			err(1, "write");
		while (got < sizeof(here)) {
			ssize_t more = read(server, here, sizeof(here) - got);
			if (more <= 0)
				err(1, "read");
			got += more;
		}
	}
}

static long long cpu, wall;

static void begin(void)
{
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	wall = now(CLOCK_MONOTONIC);
}

static void end(void)
{
	cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%lld %lld\n", cpu, now(CLOCK_MONOTONIC) - wall);
}

/* What is new is slow: a tenth is not measured. */
static void run(void (*exchange)(int, int, int), int count)
{
	int client, server;

	open_pair(&client, &server);
	exchange(client, server, count / 10);
	begin();
	exchange(client, server, count);
	end();
	close_pair(client, server);
}

static void look_at(int connection)
{
	static const int options[][2] = {
		{ SOL_SOCKET, SO_KEEPALIVE },
		{ IPPROTO_TCP, TCP_KEEPIDLE },
		{ IPPROTO_TCP, TCP_KEEPINTVL },
		{ IPPROTO_TCP, TCP_KEEPCNT },
	};

	for (int option = 0; option < 4; option++) {
		int value;
		socklen_t length = sizeof(value);

		if (getsockopt(connection, options[option][0], options[option][1], &value, &length))
			err(1, "getsockopt");
		printf("%d ", value);
	}
}

static void look(void)
{
	int client, server;

	open_pair(&client, &server);
	look_at(client);
	look_at(server);
	printf("\n");
	close_pair(client, server);
}

int main(int argc, char **argv)
{
	char line[64];
	cpu_set_t cpus;

	if (argc != 4 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1)
		return 2;
	client_calls = strcmp(argv[3], "none") != 0;
	server_calls = !strcmp(argv[3], "both");
	listener_calls = !strcmp(argv[3], "inherit");
	/* One CPU for all, so that none is measured with warmer caches. */
	CPU_ZERO(&cpus);
	CPU_SET(sysconf(_SC_NPROCESSORS_ONLN) - 1, &cpus);
	sched_setaffinity(0, sizeof(cpus), &cpus);
	listen_in(argv[2]);
	while (fgets(line, sizeof(line), stdin)) {
		const char *what = line;
		int count = 0;

		is_armed = !strncmp(line, "armed ", strlen("armed "));
		if (is_armed)
			what += strlen("armed ");
		if (sscanf(what, "short %d", &count) == 1) {
			begin();
			short_lived(count);
			end();
		} else if (sscanf(what, "echo %d", &count) == 1)
			run(echo, count);
		else if (sscanf(what, "bulk %d", &count) == 1)
			run(bulk, count);
		else
			look();
		fflush(stdout);
	}
	return 0;
}
