/* The kernel's memory of UDP's connections, which have no end: it goes on sending a known peer's packets where it sent
 * them before. Listed, and made to forget some. Blocking; any thread. IPv4. */
#ifndef AGENT_NETWORK_CONNTRACK_H
#define AGENT_NETWORK_CONNTRACK_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONNTRACK_LIST_MAX 65536u /* what is beyond is left for the next time */

struct conntrack_flow {
    uint32_t to_ip;    /* where its packets are sent to */
    uint32_t reply_ip; /* from where they are answered: another address if they are translated */
    uint16_t to_port, reply_port;
    uint16_t size;      /* of tuple */
    uint8_t tuple[120]; /* its first, as the kernel wrote it */
};
/* Those that are wanted; malloc()ed, freed also after an error. */
typedef bool conntrack_wanted(const struct conntrack_flow *flow, void *data);
int conntrack_list(conntrack_wanted *wanted, void *data, struct conntrack_flow **list, unsigned *count,
                   struct error *err);
int conntrack_forget(const struct conntrack_flow *list, unsigned count, struct error *err);

#endif
