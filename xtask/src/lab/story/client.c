/*
 * An HTTP client for a static binary: a read timeout, and not a word about keep-alive. No preloaded library can
 * change what it does.
 *
 * Usage: client http://ADDRESS:PORT/PATH SECONDS
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TIMED_OUT = 28 };

int main(int argc, char **argv)
{
	char address[64], path[64], buffer[4096];
	unsigned short port;

	if (argc != 3 || sscanf(argv[1], "http://%63[^:]:%hu%63s", address, &port, path) != 3)
		return 2;

	struct sockaddr_in server = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timeval limit = { .tv_sec = atoi(argv[2]) };
	int connection = socket(AF_INET, SOCK_STREAM, 0);
	int length = snprintf(buffer, sizeof(buffer), "GET %s HTTP/1.0\r\n\r\n", path);

	if (inet_pton(AF_INET, address, &server.sin_addr) != 1 ||
	    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    connect(connection, (struct sockaddr *)&server, sizeof(server)) ||
	    write(connection, buffer, length) != length) {
		perror(argv[1]);
		return 1;
	}
	for (;;) {
		ssize_t count = read(connection, buffer, sizeof(buffer));
		if (count == 0)
			return 0;
		if (count < 0) {
			int silent = errno == EAGAIN;
			perror("read");
			return silent ? TIMED_OUT : 1;
		}
		fwrite(buffer, 1, count, stdout);
	}
}
