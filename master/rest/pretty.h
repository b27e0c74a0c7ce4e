/* JSON laid out for people: members on lines of their own, two blanks a level, as Go's MarshalIndent does. It goes over
 * bytes piece by piece, so a list is laid out while it leaves. Pure. */
#ifndef MASTER_REST_PRETTY_H
#define MASTER_REST_PRETTY_H

#include "base/buf.h"

/* {0}: at the beginning of a document. */
struct rest_pretty {
    unsigned depth;
    bool text, escaped; /* inside a text; behind a backslash in it */
    bool opened;        /* behind a bracket: nothing of its content has come */
};
/* Appends the next bytes of a document that has no white space outside of its texts. Anything else is laid out somehow,
 * and stays what it says. */
void rest_pretty_add(struct rest_pretty *p, struct buf *out, struct str bytes);

#endif
