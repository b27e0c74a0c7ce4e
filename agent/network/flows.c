/* How many connections of one pod the node's table of them takes: the rule, and what the kernel says of those that were
 * refused some. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/network/network_int.h"

#define FULL_MINUTES 5

int64_t network_connections_share(int64_t places)
{
    return MAX(places / NETWORK_CONNECTIONS_SHARE, (int64_t)NETWORK_CONNECTIONS_MIN);
}

/* The set's name holds the number: elements keep the one that they were made with. In `full` stand the addresses whose
 * packets were dropped, each with a counter that goes FULL_MINUTES after the last one. */
void network_flows_write(struct buf *out, const char *bridge, int64_t connections)
{
    buf_puts(out, "add table ip reeve-flows\n");
    if (connections < 0) {
        buf_puts(out, "delete table ip reeve-flows\n");
        return;
    }
    buf_printf(out,
               "add set ip reeve-flows of-%lld { type ipv4_addr; size 65535; flags dynamic; }\n"
               "add set ip reeve-flows full { type ipv4_addr; size 65535; flags dynamic,timeout; timeout %dm; }\n"
               "add chain ip reeve-flows begin { type filter hook prerouting priority -150; }\n"
               "flush chain ip reeve-flows begin\n"
               "add rule ip reeve-flows begin iifname \"%s\" ct state new add @of-%lld { ip saddr ct count over %lld } "
               "update @full { ip saddr counter } drop\n",
               (long long)connections, FULL_MINUTES, bridge, (long long)connections, (long long)connections);
}

/* Elements look like "10.1.0.2 counter packets 17 bytes 493 expires 4m59s940ms". */
bool network_flows_next(struct str *text, char ip[INET_ADDRSTRLEN], uint64_t *packets)
{
    static const char word[] = " counter packets ";
    const char *at = memmem(text->p, text->n, word, sizeof word - 1), *end = text->p + text->n;
    if (at == NULL) {
        return false;
    }
    const char *from = at;
    while (from > text->p && (from[-1] == '.' || (from[-1] >= '0' && from[-1] <= '9'))) {
        from--;
    }
    snprintf(ip, INET_ADDRSTRLEN, "%.*s", (int)MIN(at - from, INET_ADDRSTRLEN - 1), from);
    *packets = 0;
    for (at += sizeof word - 1; at < end && *at >= '0' && *at <= '9'; at++) {
        *packets = *packets * 10 + (uint64_t)(*at - '0');
    }
    *text = (struct str){at, (size_t)(end - at)};
    return true;
}
