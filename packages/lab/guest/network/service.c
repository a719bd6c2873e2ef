/* A TCP service inside the guest, whose answers depend on every byte that it was ever sent.
 *
 *   network-service PORT
 *
 * Each line of a client is answered by one: "N HHHHHHHH TEXT", where N counts the lines of this
 * connection, H is the FNV-1a of all bytes of this connection up to and with this line, and TEXT is
 * the line. A client that sends numbered lines and computes the same hash thus sees at once when a
 * byte was lost, repeated or changed, in either direction, whichever VM answers. What is sent
 * depends on what was received alone: two VMs give the same answers.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 128, LINE_MAX_BYTES = 4096 };

struct connection {
    uint32_t hash, lines;
    size_t length;
    char line[LINE_MAX_BYTES];
};

static struct pollfd sockets[1 + CONNECTIONS_MAX];
static struct connection connections[1 + CONNECTIONS_MAX];
static int count = 1; /* the first is the listener */

static int send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return 0;
        data += sent;
        length -= sent;
    }
    return 1;
}

static int answer(int fd, struct connection *c)
{
    char text[LINE_MAX_BYTES + 32];
    int length = snprintf(text, sizeof text, "%u %08x %.*s\n", ++c->lines, c->hash,
                          (int)c->length, c->line);
    c->length = 0;
    return send_all(fd, text, length);
}

/* Returns 0 when the connection is over. */
static int serve(int fd, struct connection *c)
{
    char data[LINE_MAX_BYTES];
    ssize_t received = recv(fd, data, sizeof data, 0);
    if (received <= 0) return 0;
    for (ssize_t i = 0; i < received; i++) {
        c->hash = (c->hash ^ (unsigned char)data[i]) * 16777619u;
        if (data[i] == '\n') {
            if (!answer(fd, c)) return 0;
        } else if (c->length == sizeof c->line) {
            return 0;
        } else {
            c->line[c->length++] = data[i];
        }
    }
    return 1;
}

static void welcome(void)
{
    int fd = accept(sockets[0].fd, NULL, NULL);
    if (fd < 0) return;
    if (count > CONNECTIONS_MAX) {
        close(fd);
        return;
    }
    memset(&connections[count], 0, sizeof connections[count]);
    connections[count].hash = 2166136261u;
    sockets[count++] = (struct pollfd){ .fd = fd, .events = POLLIN };
}

static void part(int index)
{
    close(sockets[index].fd);
    count--;
    sockets[index] = sockets[count];
    connections[index] = connections[count];
}

int main(int argc, char **argv)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (argc != 2) return 2;
    address.sin_port = htons(atoi(argv[1]));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) ||
        listen(fd, CONNECTIONS_MAX)) {
        perror("network-service");
        return 1;
    }
    sockets[0] = (struct pollfd){ .fd = fd, .events = POLLIN };
    for (;;) {
        if (poll(sockets, count, -1) < 0) continue;
        /* From the end, so that part() only moves what was seen already. */
        for (int i = count - 1; i > 0; i--)
            if (sockets[i].revents && !serve(sockets[i].fd, &connections[i])) part(i);
        if (sockets[0].revents) welcome();
    }
}
