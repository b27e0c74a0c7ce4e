/* A stream for text that others wrote: names, messages, labels and errors are words of users, nodes and pods, and a
 * terminal obeys some bytes.
 *
 * What a terminal would obey is written so that it can be seen: control characters as ^X (but \n and \t), C1 controls,
 * bytes that are no UTF-8, and characters that turn the direction of text as \x9b or \u202e. rctl's own three colours
 * pass. Source of the idea: kubectl escapes its tables since 1.24. */
#ifndef CLIENT_UI_HARMLESS_H
#define CLIENT_UI_HARMLESS_H

#include <stdio.h>

#include "base/buf.h"

struct harmless {
    FILE *to;
    char held[8]; /* the beginning of a character or of a colour */
    unsigned held_count;
    struct buf out; /* scratch */
};

/* A stream that writes to `to`, which must live longer; a line at a time if that is a terminal. h must outlive the
 * stream. Never NULL. Close it with harmless_close, not before its last write. */
FILE *harmless_open(struct harmless *h, FILE *to);
void harmless_close(struct harmless *h, FILE *stream);

#endif
