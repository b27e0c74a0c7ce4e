/* A cable that delays, reorders, doubles and spoils packets: a process between a member's veth and its port of the
 * bridge.
 *
 *     member eth0 --- veth pI (fabric) ==AF_PACKET== relay ==TAP== vI, port of br0
 * Each direction is a queue of RELAY_QUEUE packets; more are dropped, as by any cable. Both ends carry virtio-net
 * headers, so checksums that the kernel leaves open and large segments pass as they are. */
#ifndef TESTS_FAULT_RELAY_H
#define TESTS_FAULT_RELAY_H

#include <stdint.h>
#include <sys/types.h>

struct relay_control {           /* shared with the process; all zero: a plain cable */
    int32_t delay_us, jitter_us; /* each packet waits delay .. delay + jitter */
    int32_t reorder_percent;     /* so many do not wait and overtake */
    int32_t double_percent;      /* so many come twice */
    int32_t
        spoil_permille; /* in so many one bit of what TCP carries is flipped, and no checksum of the network's tells */
    uint64_t passed, dropped, spoilt; /* counted by the relay */
};
/* Between interface `inner` (made, up) and a new TAP `outer`, both in namespace ns. Ends with this process. */
volatile struct relay_control *relay_start(int ns, const char *inner, const char *outer);

#endif
