/* The members as people see them: roles, addresses, what is told of the cluster. */
#ifndef MASTER_MEMBERS_MEMBERS_H
#define MASTER_MEMBERS_MEMBERS_H

#include "master/front/call.h"

/* The member with this id or, unless it is NULL, this address. */
bool members_find(struct master *m, uint64_t id, const char *address, struct replica_member *out);
bool members_up(struct master *m, uint64_t id);          /* ourselves, or heard of lately */
unsigned members_voters(struct master *m, unsigned *up); /* how many there are; *up: that are up */
const char *members_role(int role);                      /* "voter", "standby", "spare" */
void method_announce(struct call *c);
/* What is said of a state that is nearly full; false: it is not. */
bool members_state_warning(const struct replica_state *s, char *out, size_t size);
/* Namespaces and the cluster's own objects, at the start of a leadership. */
void members_bootstrap(struct master *m);
void members_announce(struct master *m);
/* A leader whose disk is nearly full gives the leadership to a voter that answers and has room; if there is none it
 * stays. */
void members_leave_low_disk(struct master *m);
/* Into the transaction: addresses of masters that are no members any more go from the list. False: there are none. */
bool members_forget(struct master *m, struct txn *t);
/* Client- or agent-facing address of a master as announced; empty if unknown. Borrowed from committed. */
struct str members_address(struct master *m, uint64_t id, bool agent_facing);
/* "masters": [addresses of all members], into a map. */
void members_write_addresses(struct master *m, struct buf *b, bool agent_facing);

#endif
