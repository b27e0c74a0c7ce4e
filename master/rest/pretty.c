#include "master/rest/pretty.h"

static void new_line(struct buf *out, unsigned depth)
{
    buf_putc(out, '\n');
    for (unsigned i = 0; i < depth; i++) {
        buf_puts(out, "  ");
    }
}

static void in_text(struct rest_pretty *p, char c)
{
    if (p->escaped) {
        p->escaped = false;
    } else if (c == '\\') {
        p->escaped = true;
    } else if (c == '"') {
        p->text = false;
    }
}

/* An empty map or list stays on its line. */
static void close_bracket(struct rest_pretty *p, struct buf *out)
{
    p->depth -= p->depth > 0;
    if (!p->opened) {
        new_line(out, p->depth);
    }
    p->opened = false;
}

void rest_pretty_add(struct rest_pretty *p, struct buf *out, struct str bytes)
{
    for (size_t i = 0; i < bytes.n; i++) {
        char c = bytes.p[i];
        if (p->text) {
            in_text(p, c);
            buf_putc(out, c);
            continue;
        }
        if (c == '}' || c == ']') {
            close_bracket(p, out);
        } else if (p->opened) {
            p->opened = false;
            new_line(out, p->depth);
        }
        buf_putc(out, c);
        if (c == '{' || c == '[') {
            p->depth++;
            p->opened = true;
        } else if (c == ',') {
            new_line(out, p->depth);
        } else if (c == ':') {
            buf_putc(out, ' ');
        } else if (c == '"') {
            p->text = true;
        }
    }
}
