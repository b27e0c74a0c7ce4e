/* Watches: who follows what, and what they are sent. */
#ifndef MASTER_API_WATCH_H
#define MASTER_API_WATCH_H

#include <stdbool.h>

#include "base/err.h"
#include "base/mem.h"

struct master;

struct watch_table *watch_table_new(struct master *m);
void watch_table_free(struct watch_table *t);
void watch_table_advance(struct watch_table *t, bool restored); /* committed moved: wakes whom it concerns */
bool watch_table_waiting(const struct watch_table *t);          /* is there any that has something to send? */
/* Once in a turn of the loop, for a while. True: there is more to do at once. */
bool watch_table_turn(struct watch_table *t);
unsigned watch_table_count(const struct watch_table *t);
/* Watches for agents end: all, or those of one node. */
void watch_table_end_nodes(struct watch_table *t, const struct error *why);
void watch_table_end_node(struct watch_table *t, struct str node, const struct error *why);

#endif
