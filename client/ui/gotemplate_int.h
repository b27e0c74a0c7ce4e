/* What the parser, the machine and the functions of templates share. */
#ifndef CLIENT_UI_GOTEMPLATE_INT_H
#define CLIENT_UI_GOTEMPLATE_INT_H

#include "client/ui/gotemplate.h"

/* An operand, and a call of a function or of a chain of fields. Names are borrowed from the text. */
enum term_type { TERM_DOT, TERM_LITERAL, TERM_VARIABLE, TERM_FUNCTION, TERM_PIPE };
struct term {
    enum term_type type;
    struct str name;             /* of the variable, with its $ ("$" = root), or the function */
    const struct value *literal; /* NULL: nil */
    struct pipe *pipe;           /* in parentheses */
    struct str *fields;          /* .a.b behind it */
    unsigned fields_count;
    struct term *next; /* argument */
    const char *at;
};
struct call {
    struct term *first; /* the function or value, then its arguments */
    struct call *next;  /* of the pipeline */
};
struct pipe {
    struct str names[2]; /* of variables: $x, or $i, $e; empty: none */
    bool declares;       /* := rather than = */
    struct call *first;
};

enum node_type { NODE_TEXT, NODE_PIPE, NODE_IF, NODE_RANGE, NODE_WITH, NODE_TEMPLATE, NODE_BREAK, NODE_CONTINUE };
struct node {
    enum node_type type;
    struct str text; /* NODE_TEXT; NODE_TEMPLATE: the name */
    struct pipe *pipe;
    struct node *body, *otherwise, *next;
    const char *at;
};
struct definition {
    struct str name;
    struct node *body;
    struct definition *next;
};
struct gotemplate {
    const char *text;
    struct node *body;
    struct definition *definitions;
};

/* `template: 3:7: ` and the text, ERR_USAGE. */
int gotemplate_fail(const char *text, const char *at, struct error *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- Values (gotemplate_value.c) ---- */

/* As Go's templates see it: false are null, false, 0, "" and what has no elements. */
bool gotemplate_truth(const struct value *v);
/* As Go's %v. NULL and null are <nil> inside of lists and maps, <no value> alone. */
void gotemplate_write_value(struct buf *out, const struct value *v, bool inside);

/* ---- printf (gotemplate_printf.c) ---- */

/* Always 0: what does not fit its verb is written as an error text into `out`, as Go does. */
int gotemplate_printf(struct buf *out, struct str format, const struct value *const *args, unsigned count);

/* ---- Functions (gotemplate_funcs.c) ---- */

typedef int gotemplate_fn(struct arena *a, const struct value *const *args, unsigned count, const struct value **out,
                          struct error *err);
/* NULL if there is none. `and` and `or` are known as well, but the machine runs them: they stop at what decides. */
gotemplate_fn *gotemplate_find_function(struct str name);

#endif
