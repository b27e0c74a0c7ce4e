#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "proto/net/net_int.h"

/* Nothing but the address is looked at of a server's connection: it may be the thread that asks. */
static void note(struct net_conn *c, struct error **why, int code, const char *fmt, va_list ap)
{
    if (*why != NULL) {
        return;
    }
    char text[ERROR_MESSAGE_MAX];
    vsnprintf(text, sizeof text, fmt, ap);
    *why = xmalloc(sizeof **why);
    const char *doing = c->server ? "connection from" : c->state <= NET_HANDSHAKE ? "connect to" : "connection to";
    error_set(*why, code, "%s %s: %s", doing, c->addr, text);
}

void net_conn_blame(struct net_conn *c, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    note(c, &c->why, code, fmt, ap);
    va_end(ap);
}

void net_conn_found(struct net_conn *c, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    note(c, &c->found, code, fmt, ap);
    va_end(ap);
}

void net_conn_blame_found(struct net_conn *c)
{
    if (c->why == NULL) {
        c->why = TAKE_PTR(c->found);
    }
}
