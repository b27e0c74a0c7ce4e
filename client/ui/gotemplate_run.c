/* Runs nodes over values. Variables live on a stack; a block forgets those declared in it. */
#include <assert.h>
#include <string.h>

#include "client/ui/gotemplate_int.h"
#include "proto/text/text.h"

#define VARIABLES_MAX 1024u

enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };
struct variable {
    struct str name;
    const struct value *value;
};
struct machine {
    struct arena *a;
    const struct gotemplate *t;
    struct buf *out;
    struct error *err;
    struct variable *stack; /* VARIABLES_MAX */
    unsigned count, depth;
    uint64_t steps;
    enum flow flow;
};

static int fail(struct machine *m, const char *at, const char *what, struct str name)
{
    return gotemplate_fail(m->t->text, at, m->err, what, (int)MIN(name.n, (size_t)100), name.p == NULL ? "" : name.p);
}

static int step(struct machine *m)
{
    if (++m->steps > GOTEMPLATE_STEPS_MAX) {
        return error_set(m->err, ERR_TOO_LARGE, "template: it takes more than %u steps", GOTEMPLATE_STEPS_MAX);
    }
    return 0;
}

static int push(struct machine *m, struct str name, const struct value *v, const char *at)
{
    if (m->count == VARIABLES_MAX) {
        return fail(m, at, "too many variables at %.*s", name);
    }
    m->stack[m->count++] = (struct variable){name, v};
    return 0;
}

static struct variable *find(struct machine *m, struct str name)
{
    for (unsigned i = m->count; i > 0; i--) {
        if (str_eq(m->stack[i - 1].name, name)) {
            return &m->stack[i - 1];
        }
    }
    return NULL;
}

/* ---- Values ---- */

static int run_pipe(struct machine *m, const struct pipe *p, const struct value *dot, const struct value **out);

static int follow(struct machine *m, const struct term *t, const struct value *v, const struct value **out)
{
    for (unsigned i = 0; i < t->fields_count; i++) {
        if (value_is_null(v)) {
            return fail(m, t->at, i == 0 ? "nil has no field %.*s" : "nil pointer evaluating %.*s", t->fields[i]);
        }
        if (!value_is_map(v)) {
            return gotemplate_fail(m->t->text, t->at, m->err, "can't evaluate field %.*s in type %s",
                                   (int)MIN(t->fields[i].n, (size_t)100), t->fields[i].p, value_type_name(v->type));
        }
        v = value_get_str_key(v, t->fields[i]);
    }
    *out = v;
    return 0;
}

static int run_function(struct machine *m, struct str name, const char *at, const struct value *const *args,
                        unsigned count, const struct value **out)
{
    struct error why = {0};
    int rc = gotemplate_find_function(name)(m->a, args, count, out, &why);
    if (rc != 0) {
        return gotemplate_fail(m->t->text, at, m->err, "error calling %.*s: %s", STR_ARG(name), why.message);
    }
    return 0;
}

static int run_term(struct machine *m, const struct term *t, const struct value *dot, const struct value **out)
{
    const struct value *v = NULL;
    int rc = 0;
    switch (t->type) {
    case TERM_DOT:
        v = dot;
        break;
    case TERM_LITERAL:
        v = t->literal;
        break;
    case TERM_VARIABLE: {
        const struct variable *x = find(m, t->name);
        if (x == NULL) {
            return fail(m, t->at, "undefined variable \"%.*s\"", t->name);
        }
        v = x->value;
        break;
    }
    case TERM_FUNCTION: /* as an argument: without arguments of its own */
        rc = run_function(m, t->name, t->at, NULL, 0, &v);
        break;
    case TERM_PIPE:
        rc = run_pipe(m, t->pipe, dot, &v);
        break;
    }
    return rc != 0 ? rc : follow(m, t, v, out);
}

/* and, or: the first argument that decides, and no further. */
static int run_shortcut(struct machine *m, const struct call *c, const struct value *dot, const struct value *piped,
                        bool has_piped, const struct value **out)
{
    bool is_or = str_is(c->first->name, "or");
    if (c->first->next == NULL && !has_piped) {
        return fail(m, c->first->at, "%.*s needs an argument", c->first->name);
    }
    for (const struct term *t = c->first->next; t != NULL; t = t->next) {
        int rc = run_term(m, t, dot, out);
        if (rc != 0 || gotemplate_truth(*out) == is_or) {
            return rc;
        }
    }
    *out = has_piped ? piped : *out;
    return 0;
}

static int run_call(struct machine *m, const struct call *c, const struct value *dot, const struct value *piped,
                    bool has_piped, const struct value **out)
{
    const struct term *f = c->first;
    int rc = step(m);
    if (rc != 0) {
        return rc;
    }
    if (f->type != TERM_FUNCTION) {
        if (f->next != NULL || has_piped) {
            return fail(m, f->at, "can't give an argument to a value that is no function%.*s", STR_NONE);
        }
        return run_term(m, f, dot, out);
    }
    if (str_is(f->name, "and") || str_is(f->name, "or")) {
        return run_shortcut(m, c, dot, piped, has_piped, out);
    }
    unsigned count = has_piped, n = 0;
    for (const struct term *t = f->next; t != NULL; t = t->next) {
        count++;
    }
    const struct value **args = arena_alloc(m->a, (count + 1) * sizeof *args);
    for (const struct term *t = f->next; t != NULL; t = t->next) {
        rc = run_term(m, t, dot, &args[n++]);
        if (rc != 0) {
            return rc;
        }
    }
    if (has_piped) {
        args[n++] = piped;
    }
    return run_function(m, f->name, f->at, args, count, out);
}

/* The value of a pipeline; variables are set by the callers. */
static int run_calls(struct machine *m, const struct pipe *p, const struct value *dot, const struct value **out)
{
    const struct value *v = NULL;
    if (++m->depth > GOTEMPLATE_DEPTH_MAX * 4) {
        return fail(m, p->first->first->at, "nested too deeply%.*s", STR_NONE);
    }
    int rc = 0;
    for (const struct call *c = p->first; c != NULL && rc == 0; c = c->next) {
        rc = run_call(m, c, dot, v, c != p->first, &v);
    }
    m->depth--;
    *out = v;
    return rc;
}

static int run_pipe(struct machine *m, const struct pipe *p, const struct value *dot, const struct value **out)
{
    int rc = run_calls(m, p, dot, out);
    if (rc != 0 || p->names[0].n == 0) {
        return rc;
    }
    if (p->declares) {
        return push(m, p->names[0], *out, p->first->first->at);
    }
    struct variable *x = find(m, p->names[0]);
    if (x == NULL) {
        return fail(m, p->first->first->at, "undefined variable \"%.*s\"", p->names[0]);
    }
    x->value = *out;
    return 0;
}

/* ---- Nodes ---- */

static int run_nodes(struct machine *m, const struct node *n, const struct value *dot);

static int run_body(struct machine *m, const struct node *n, const struct value *dot)
{
    unsigned before = m->count;
    int rc = run_nodes(m, n, dot);
    m->count = before;
    return rc;
}

/* One turn of range: i is the index or the key. */
static int run_turn(struct machine *m, const struct node *n, const struct value *i, const struct value *e)
{
    unsigned before = m->count;
    const struct str *names = n->pipe->names;
    bool two = names[1].n > 0;
    int rc = 0;
    if (names[0].n > 0) {
        const struct value *values[] = {two ? i : e, e};
        for (unsigned k = 0; k < (two ? 2u : 1u) && rc == 0; k++) {
            struct variable *x = n->pipe->declares ? NULL : find(m, names[k]);
            if (x != NULL) {
                x->value = values[k];
            } else {
                rc = push(m, names[k], values[k], n->at);
            }
        }
    }
    rc = rc != 0 ? rc : run_nodes(m, n->body, e);
    m->count = before;
    return rc;
}

static int run_range(struct machine *m, const struct node *n, const struct value *dot)
{
    const struct value *v;
    int rc = run_calls(m, n->pipe, dot, &v);
    if (rc != 0) {
        return rc;
    }
    bool counts = v != NULL && v->type == VALUE_INT;
    if (!value_is_null(v) && !value_is_list(v) && !value_is_map(v) && !counts) {
        return gotemplate_fail(m->t->text, n->at, m->err, "range can't iterate over a %s", value_type_name(v->type));
    }
    if (value_is_map(v)) {
        struct value *sorted = value_copy(m->a, v);
        value_sort(sorted);
        v = sorted;
    }
    int64_t turns = counts ? MAX(v->integer, 0) : (int64_t)value_count(v);
    for (int64_t i = 0; i < turns && rc == 0 && m->flow != FLOW_BREAK; i++) {
        const struct value *key = value_is_map(v) ? value_str(m->a, v->map.members[i].key) : value_int(m->a, i);
        const struct value *e = counts ? key : value_is_map(v) ? v->map.members[i].value : v->list.items[i];
        m->flow = FLOW_ON;
        rc = step(m);
        rc = rc != 0 ? rc : run_turn(m, n, key, e);
    }
    m->flow = FLOW_ON;
    return rc != 0 || turns > 0 ? rc : run_body(m, n->otherwise, dot);
}

static int run_template(struct machine *m, const struct node *n, const struct value *dot)
{
    const struct definition *d = m->t->definitions;
    while (d != NULL && !str_eq(d->name, n->text)) {
        d = d->next;
    }
    if (d == NULL) {
        return fail(m, n->at, "template \"%.*s\" is not defined", n->text);
    }
    const struct value *v = NULL;
    int rc = n->pipe == NULL ? 0 : run_calls(m, n->pipe, dot, &v);
    if (rc != 0) {
        return rc;
    }
    if (++m->depth > GOTEMPLATE_DEPTH_MAX) {
        return fail(m, n->at, "template \"%.*s\" is nested too deeply", n->text);
    }
    struct variable saved = m->stack[0]; /* $ is what the template was given, and it sees no other variable */
    unsigned before = m->count;
    rc = push(m, STR("$"), v, n->at);
    rc = rc != 0 ? rc : run_nodes(m, d->body, v);
    m->count = before;
    m->stack[0] = saved;
    m->depth--;
    return rc;
}

static int run_node(struct machine *m, const struct node *n, const struct value *dot)
{
    const struct value *v;
    unsigned before = m->count;
    int rc = 0;
    switch (n->type) {
    case NODE_TEXT:
        buf_append_str(m->out, n->text);
        break;
    case NODE_PIPE:
        rc = run_pipe(m, n->pipe, dot, &v);
        if (rc == 0 && n->pipe->names[0].n == 0) {
            gotemplate_write_value(m->out, v, false);
        }
        break;
    case NODE_IF:
    case NODE_WITH:
        rc = run_pipe(m, n->pipe, dot, &v);
        if (rc == 0) {
            bool holds = gotemplate_truth(v);
            rc = run_nodes(m, holds ? n->body : n->otherwise, holds && n->type == NODE_WITH ? v : dot);
        }
        m->count = before;
        break;
    case NODE_RANGE:
        rc = run_range(m, n, dot);
        break;
    case NODE_TEMPLATE:
        rc = run_template(m, n, dot);
        break;
    case NODE_BREAK:
        m->flow = FLOW_BREAK;
        break;
    case NODE_CONTINUE:
        m->flow = FLOW_CONTINUE;
        break;
    }
    return rc;
}

static int run_nodes(struct machine *m, const struct node *n, const struct value *dot)
{
    int rc = 0;
    for (; n != NULL && rc == 0 && m->flow == FLOW_ON; n = n->next) {
        rc = step(m);
        rc = rc != 0 ? rc : run_node(m, n, dot);
        if (m->out->size > GOTEMPLATE_OUT_MAX) {
            return error_set(m->err, ERR_TOO_LARGE, "template: more than %u bytes come out", GOTEMPLATE_OUT_MAX);
        }
    }
    return rc;
}

int gotemplate_run(struct arena *a, const struct gotemplate *t, const struct value *root, struct buf *out,
                   struct error *err)
{
    assert(a != NULL && t != NULL && out != NULL);
    struct machine m = {.a = a, .t = t, .out = out, .err = err};
    m.stack = arena_alloc(a, VARIABLES_MAX * sizeof *m.stack);
    push(&m, STR("$"), root, t->text);
    return run_nodes(&m, t->body, root);
}
