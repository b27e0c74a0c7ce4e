/* Wrong join tokens, by the network they come from: a few are mistakes, many are guesses.
 *
 * Each network (an IPv4 address, or an IPv6 /64) has GUESSES_BURST wrong ones, and GUESSES_EVERY_MS give one back. Who has none left is refused
 * before the token is looked at, so a right one has to wait as well. At most GUESSES_NETWORKS_MAX networks are remembered; the one that
 * has been quiet for the longest makes room. Soft state of the master that was asked. */
#ifndef MASTER_GUESSES_H
#define MASTER_GUESSES_H

#include "proto/net.h"

#define GUESSES_BURST        10u
#define GUESSES_EVERY_MS     6000
#define GUESSES_NETWORKS_MAX 256u

struct guesses {
    struct guesses_row {
        char network[NET_NETWORK_MAX]; /* "" = free */
        int64_t full_ms;               /* when it has all its guesses again */
    } rows[GUESSES_NETWORKS_MAX];
};

/* 0: it may show a token; else milliseconds until it may. address: HOST:PORT, as net_conn_peer_addr says it. */
int64_t guesses_wait_ms(const struct guesses *g, const char *address, int64_t now_ms);
void guesses_note(struct guesses *g, const char *address, int64_t now_ms); /* it was a wrong one */

#endif
