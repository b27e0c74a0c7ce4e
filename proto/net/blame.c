#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"
#include "proto/net/net_int.h"

void net_conn_blame(struct net_conn *c, int code, const char *fmt, ...)
{
    if (c->why != NULL) {
        return;
    }
    char text[ERROR_MESSAGE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->why = xmalloc(sizeof *c->why);
    const char *doing = c->server ? "connection from" : c->state <= NET_HANDSHAKE ? "connect to" : "connection to";
    error_set(c->why, code, "%s %s: %s", doing, c->addr, text);
}
