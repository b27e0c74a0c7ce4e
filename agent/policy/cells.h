/* The elements that a table of ours should have in the kernel, and those that it has. Pure; which elements, and why, is
 * others' (core.h).
 *
 * Changes leave in an order in which each prefix of them denies rather than allows: what is added, by the sets' order;
 * then what goes, in the reverse order. */
#ifndef AGENT_POLICY_CELLS_H
#define AGENT_POLICY_CELLS_H

#include "agent/service/change.h"

#include <stddef.h>

struct cells;
struct cells *cells_new(unsigned sets_count);
void cells_free(struct cells *c);
/* Keys and data as the kernel has them; unused bytes at the end are 0. data NULL: none. */
void cells_want(struct cells *c, unsigned set, const uint8_t key[NFT_KEY_BYTES], const uint8_t *data);
void cells_unwant(struct cells *c, unsigned set, const uint8_t key[NFT_KEY_BYTES]); /* may be unknown */
/* What is not wanted between begin and end is not wanted any more, in the sets of the mask (1 << set). */
void cells_pass_begin(struct cells *c);
void cells_pass_end(struct cells *c, unsigned mask);
size_t cells_count(const struct cells *c);   /* wanted */
size_t cells_waiting(const struct cells *c); /* changes */
size_t cells_refused(const struct cells *c); /* left out */

/* The next changes, at most max. Borrowed until anything else is called. Asked again before cells_done it tells the
 * same. */
unsigned cells_next(const struct cells *c, struct nft_change *out, unsigned max);
void cells_done(struct cells *c, unsigned count); /* so many of them are in the kernel now */
/* The kernel does not take the first of them: left out until something else is wanted there, or cells_forget. */
void cells_refuse(struct cells *c);
/* The kernel has nothing: all that is wanted must be added. */
void cells_forget(struct cells *c);
/* At most max elements that are in the kernel as they are wanted, from *cursor on; 0 begins anew. */
unsigned cells_settled(const struct cells *c, size_t *cursor, struct nft_change *out, unsigned max);

#endif
