/* Label selectors, in the two spellings of the API: the text of `-l` ("app=web,tier in (a,b),!old,env!=prod") and the
 * document of spec.selector (matchLabels, matchExpressions; for ReplicationController-style maps, a plain map). Field
 * selectors ("metadata.name=x,spec.nodeName!=n1") use the text form with = == != only. */
#ifndef PROTO_SCHEMA_SELECTOR_H
#define PROTO_SCHEMA_SELECTOR_H

#include "base/err.h"
#include "proto/schema/object.h"

/* Also Gt and Lt on integers ("key>5"), as in node affinity. Keys and values must be well-formed (ERR_INVALID). */
struct selector; /* lives in the arena it was parsed into */

/* Empty text or an empty document selects everything; a NULL document selects nothing (as the API has it). */
int selector_parse(struct arena *a, struct str text, struct selector **out, struct error *err);
int selector_from_value(struct arena *a, const struct value *label_selector, struct selector **out, struct error *err);
int selector_from_mp(struct arena *a, struct mp label_selector, struct selector **out, struct error *err);
bool selector_empty(const struct selector *s);
bool selector_matches(const struct selector *s, struct mp labels); /* labels: a map, or nothing */
bool selector_matches_value(const struct selector *s, const struct value *labels);
bool selector_matches_object(const struct selector *s, const struct object *o); /* metadata.labels */
/* The nth (from 0) requirement that a label has one certain value, so that an index can be used; false: there are no
 * more. NULL asks for nothing. Borrowed. */
bool selector_pair(const struct selector *s, unsigned nth, struct str *key, struct str *value);
/* Text of a parsed selector, as `get -o wide` and describe print it; "<none>" without requirements. */
void selector_write(struct buf *out, const struct selector *s);

/* Field selectors of a kind: keys are metadata.name, metadata.namespace and what the kind lists as selectable; another
 * one is ERR_USAGE with the list. A field that is absent counts as "false", "0" or empty text, by its type. */
int field_selector_parse(struct arena *a, const struct kind *k, struct str text, struct selector **out,
                         struct error *err);
bool field_selector_matches(const struct selector *s, const struct object *o);
/* The value that it asks of a field ("spec.nodeName"), so that an index can be used; empty if it asks for none, or for
 * the empty one. NULL asks for nothing. Borrowed. */
struct str field_selector_value(const struct selector *s, const char *key);

#endif
