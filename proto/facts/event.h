/* Events: how one is written, what makes two the same, and when they happened. For all who write them (controllers,
 * scheduler, masters, agents) and who put several in order.
 *
 * Equal events (of one object, reason, message and source) have one name: one that happens again is found by it and
 * counted up, as Kubernetes' correlator does it.
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

/* Of a Service, told by a node whose kernel does not take a part of it: all that nodes may tell of Services. */
#define EVENT_REASON_NOT_BALANCED "NotBalanced"

/* What an event says. Borrowed. */
struct event_words {
    const struct kind *kind; /* of the object that it is about */
    struct str ns, name, uid;
    const char *field_path; /* part of the object: "spec.containers{web}"; NULL = all of it */
    bool warning;
    const char *reason, *component;
    const char *host; /* NULL = none: no node */
    struct str message;
};
/* The words about an object, with what else is the caller's to fill in. */
struct event_words event_about(const struct object *o);
/* An Event without a name and without times. */
struct value *event_document(struct arena *a, const struct event_words *w);
/* Where an event that has involvedObject lives: the object's namespace, or "default". */
struct str event_namespace(const struct value *doc);
/* The name of an event that has involvedObject, reason, source.component and message. */
struct str event_name(struct arena *a, const struct value *doc);
/* Gives the document its name and namespace. */
void event_set_name(struct arena *a, struct value *doc, struct str ns, struct str name);
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
