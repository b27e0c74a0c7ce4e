/* The elements that one service port wants, in the order in which they may come into the kernel. Pure; see table.h. */
#ifndef AGENT_SERVICE_ELEMENTS_H
#define AGENT_SERVICE_ELEMENTS_H

#include "agent/service/table.h"

struct element {
    enum service_set set;
    uint8_t key[SERVICE_KEY_BYTES], data[SERVICE_DATA_BYTES];
};
struct elements { /* zeroed is empty */
    struct element *list;
    unsigned count, cap;
};
void elements_close(struct elements *l);
/* In place of what was in the list; addresses are where node ports are. */
void elements_of(struct elements *l, const struct service_port *p, const uint32_t *addresses, unsigned addresses_count);
#define ELEMENT_PROTOCOL_AT 4 /* in a front */
void element_front(uint8_t key[SERVICE_KEY_BYTES], uint32_t ip, uint8_t protocol, uint16_t port);

#endif
