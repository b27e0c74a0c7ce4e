/* A name server outside of the cluster, for the end-to-end tests: it knows the names of its arguments.
 *
 *   upstream ADDRESS NAME=IP...      UDP and TCP port 53 of that address. Names it does not know do not exist;
 *                                    types other than A have no data. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_MAX 4096

/* Turns the question into its answer; its size, or 0 if it is none. */
static size_t answer(unsigned char *m, size_t n, char **known)
{
    char name[512];
    size_t at = 12, used = 0;
    if (n < 17 || (m[2] & 0x80) != 0) {
        return 0;
    }
    while (at < n && m[at] != 0) {
        size_t label = m[at];
        if (label > 63 || at + label + 6 > n || used + label + 2 > sizeof(name)) {
            return 0;
        }
        memcpy(name + used, m + at + 1, label);
        used += label;
        name[used++] = '.';
        at += label + 1;
    }
    if (used == 0 || at + 5 > n) {
        return 0;
    }
    name[used - 1] = '\0';
    bool address = m[at + 1] == 0 && m[at + 2] == 1;
    size_t end = at + 5;
    const char *ip = NULL;
    for (char **k = known; *k != NULL; k++) {
        char *equal = strchr(*k, '=');
        if (equal != NULL && strlen(name) == (size_t)(equal - *k) && strncasecmp(name, *k, strlen(name)) == 0) {
            ip = equal + 1;
        }
    }
    m[2] = (unsigned char)(0x84 | (m[2] & 1));
    m[3] = ip == NULL ? 0x83 : 0x80;
    memset(m + 6, 0, 6); /* no records but the answer's */
    if (ip != NULL && address) {
        static const unsigned char record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4};
        m[7] = 1;
        memcpy(m + end, record, sizeof(record));
        inet_pton(AF_INET, ip, m + end + sizeof(record));
        end += sizeof(record) + 4;
    }
    return end;
}

int main(int argc, char **argv)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(53)};
    int one = 1;
    int udp = socket(AF_INET, SOCK_DGRAM, 0), tcp = socket(AF_INET, SOCK_STREAM, 0);
    if (argc < 2 || inet_pton(AF_INET, argv[1], &sa.sin_addr) != 1) {
        fputs("usage: upstream ADDRESS NAME=IP...\n", stderr);
        return 2;
    }
    setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(udp, (struct sockaddr *)&sa, sizeof(sa)) != 0 || bind(tcp, (struct sockaddr *)&sa, sizeof(sa)) != 0 ||
        listen(tcp, 16) != 0) {
        perror("upstream");
        return 1;
    }
    for (;;) {
        unsigned char m[MESSAGE_MAX + 64];
        struct sockaddr_in peer;
        socklen_t len = sizeof(peer);
        struct pollfd fds[] = {{.fd = udp, .events = POLLIN}, {.fd = tcp, .events = POLLIN}};
        poll(fds, 2, -1);
        if (fds[0].revents != 0) {
            ssize_t n = recvfrom(udp, m, MESSAGE_MAX, 0, (struct sockaddr *)&peer, &len);
            size_t size = n > 0 ? answer(m, (size_t)n, argv + 2) : 0;
            if (size > 0) {
                sendto(udp, m, size, 0, (struct sockaddr *)&peer, len);
            }
        }
        if (fds[1].revents != 0) { /* one question a connection */
            int fd = accept(tcp, NULL, NULL);
            ssize_t n = recv(fd, m, 2, MSG_WAITALL) == 2 ? (m[0] << 8 | m[1]) : 0;
            n = n > 0 && n <= MESSAGE_MAX ? recv(fd, m + 2, (size_t)n, MSG_WAITALL) : 0;
            size_t size = n > 0 ? answer(m + 2, (size_t)n, argv + 2) : 0;
            m[0] = (unsigned char)(size >> 8);
            m[1] = (unsigned char)size;
            (void)!write(fd, m, size > 0 ? size + 2 : 0);
            close(fd);
        }
    }
}
