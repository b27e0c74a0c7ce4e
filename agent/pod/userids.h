/* Which pod of this node has which user ids: blocks of USERNS_IDS, one for each pod with a user namespace of its own
 * (hostUsers: false). No two pods have the same block, and one that was given back is the last to be given out
 * again. In memory: after a restart the sandboxes tell. */
#ifndef AGENT_POD_USERIDS_H
#define AGENT_POD_USERIDS_H

#include <stdbool.h>
#include <stdint.h>

/* By default what systemd's table of user ids leaves unused: 0x70000000 to 0x7fffffff. */
#define USERIDS_FIRST    0x70000000u
#define USERIDS_PODS     4096u
#define USERIDS_PODS_MAX 32767u /* below 2^31: some programs, and sysctls, take no more */

struct userids;
/* pods 0: there are none. first: a multiple of USERNS_IDS, and not 0. */
struct userids *userids_new(uint32_t first, unsigned pods);
void userids_free(struct userids *u);
/* The pod's first id on the node, the same each time; 0: none is free. */
uint32_t userids_take(struct userids *u, const char *uid);
/* It has this one, from before the restart; one of another range of old is no matter. */
void userids_keep(struct userids *u, const char *uid, uint32_t first);
void userids_give(struct userids *u, const char *uid); /* none is fine */
/* Pods that hold one, one per call from *cursor = 0; NULL at the end. One that is given back meanwhile disturbs
 * nothing. */
const char *userids_next(const struct userids *u, unsigned *cursor);

#endif
