/* What all descriptions are written with: labels, texts, maps, times, conditions, events, any document. */
#ifndef PROTO_DESCRIBE_PARTS_H
#define PROTO_DESCRIBE_PARTS_H

#include "proto/describe/describe.h"

#define DESCRIBE_TAB 2 /* columns of one level */
/* "Label:" padded to `width`, at an indentation of `level`; what follows is the caller's. */
void describe_label(struct buf *out, unsigned level, unsigned width, const char *label);
void describe_text(struct buf *out, unsigned level, unsigned width, const char *label, struct str text);
/* A map as "k=v" lines, the first beside the label; "<none>" if empty. separator: "=" or ": ". */
void describe_map(struct buf *out, unsigned level, unsigned width, const char *label, struct mp map,
                  const char *separator);
void describe_head(struct buf *out, const struct object *o, unsigned width); /* name, namespace, labels, annotations */
void describe_time(struct buf *out, unsigned level, unsigned width, const char *label, struct str time);
/* Aligned table of type and status, or of type, status, reason (with_reason). */
void describe_conditions(struct buf *out, struct mp conditions, bool with_reason);
void describe_indented(struct buf *out, const char *text); /* every line by one level */
void describe_events(struct buf *out, const struct describe_context *c);
/* Lists of rules of roles as a table: a row for each kind and name, with its verbs. What is more than
 * DESCRIBE_RULES_MAX rows is left out and said. dashes: below the titles; without titles if bare. */
#define DESCRIBE_RULES_MAX 2000u
enum describe_titles { DESCRIBE_BARE, DESCRIBE_TITLES, DESCRIBE_DASHES };
void describe_role_rules(struct buf *out, const struct mp *lists, unsigned count, enum describe_titles titles);
void describe_value(struct buf *out, struct mp v, unsigned level); /* any document, as indented text */
/* "lastTransitionTime" -> "Last Transition Time" */
void describe_title(struct buf *out, struct str name);
void describe_scalar(struct buf *out, struct mp v); /* as JSON has it, text without quotes */

#endif
