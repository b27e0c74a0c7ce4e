/* A port of loopback for a server of a test that is stopped and started again: below those that the kernel gives to
 * outgoing connections, of which one would take it meanwhile. Other tests look for ports as well, so each begins
 * somewhere else. */
#ifndef TESTS_KIT_FREE_PORT_H
#define TESTS_KIT_FREE_PORT_H

#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define FREE_PORT_FIRST 12000u
#define FREE_PORT_LAST  32000u /* the kernel's own begin at 32768 */

/* Never fails but by abort: that none of so many is free says that something else is wrong. */
static inline uint16_t free_port(void)
{
    for (unsigned tries = 0; tries < 1000; tries++) {
        uint32_t random;
        if (getrandom(&random, sizeof random, 0) != sizeof random) {
            abort();
        }
        uint16_t port = (uint16_t)(FREE_PORT_FIRST + random % (FREE_PORT_LAST - FREE_PORT_FIRST));
        struct sockaddr_in a = {
            .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int rc = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&a, sizeof a);
        close(fd);
        if (rc == 0) {
            return port;
        }
    }
    abort();
}

#endif
