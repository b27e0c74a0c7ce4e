/* The network of a cell: every master, and the clients, on a machine of their own as far as the network can tell.
 *
 *     fabric namespace                        namespaces of the members
 *     br0 --- v0 ---------------------------- eth0 10.99.0.10   clients: this process
 *         `-- vI ---------------------------- eth0 10.99.0.1I   master I (from 1)
 *     nft table "bridge cut": what passes from one port to another is dropped, or lost at random
 *
 * No namespace has a name: all are held by descriptors of this process, so they end with it, however it ends.
 * Needs CAP_NET_ADMIN and CAP_SYS_ADMIN. Main thread only; threads made after fabric_open are in the clients'
 * namespace. */
#ifndef TESTS_FAULT_FABRIC_H
#define TESTS_FAULT_FABRIC_H

#include <stdbool.h>

#include "tests/fault/relay.h"

#define FABRIC_PORTS 12u /* 0: the clients */

struct fabric {
    int ns;                                              /* -1: there is none, all is on loopback */
    int members[FABRIC_PORTS];                           /* -1: not made yet */
    bool relayed;                                        /* members made from now on hang by a relay (relay.h) */
    volatile struct relay_control *relays[FABRIC_PORTS]; /* NULL: a plain cable */
    char rules_path[512];
    /* What the rules say: percent of the packets from one port to another that are lost. 100: a cut. */
    unsigned char loss[FABRIC_PORTS][FABRIC_PORTS];
};
/* dir: for the file of rules. Moves the caller into the clients' namespace. */
void fabric_open(struct fabric *f, const char *dir);
void fabric_none(struct fabric *f);
/* Makes a member if it is not there. */
void fabric_add(struct fabric *f, unsigned port);
void fabric_address(unsigned port, char *out, unsigned size);
/* Sets what is lost from a to b (this direction only); holds from fabric_apply on, all changes at once. */
void fabric_set(struct fabric *f, unsigned a, unsigned b, unsigned percent);
void fabric_set_both(struct fabric *f, unsigned a, unsigned b, unsigned percent);
void fabric_heal(struct fabric *f); /* nothing is lost any more; applied */
void fabric_apply(struct fabric *f);

#endif
