/* When an event happened, for whoever writes one and whoever puts several in order.
 *
 * firstTimestamp and lastTimestamp have whole seconds, and all that one transaction writes has one revision: neither
 * tells what came first within a second. So an event has eventTime with microseconds: the milliseconds of the clock,
 * and below them its place in the transaction that writes it; one that happens again has the last time in series.
 * Kubernetes' rules for an event with eventTime are kept. Source: Kubernetes core/v1 Event, EventSeries. Pure. */
#ifndef PROTO_FACTS_EVENT_H
#define PROTO_FACTS_EVENT_H

#include "proto/model/value.h"
#include "proto/schema/object.h"

/* "The note has a maximum of 1 kB": longer messages are cut at a character. */
#define EVENT_MESSAGE_MAX 1024u

/* Times, count and reporter of a new event that has reason, message and source.component. place: how many were written
 * before it in the same transaction. */
void event_set_first(struct arena *a, struct value *doc, int64_t wall_ms, unsigned place, const char *reporter);
/* The same event once more. */
void event_set_again(struct arena *a, struct value *doc, int64_t wall_ms, unsigned place);
/* Which happened (for the last time) first: < 0, 0, > 0. */
int event_compare(const struct object *x, const struct object *y);
/* Which happened for the first time first. */
int event_compare_first(const struct object *x, const struct object *y);

#endif
