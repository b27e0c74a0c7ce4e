/* What masters tell of Services, written as text. */
#ifndef TESTS_UNIT_AGENT_KNOWN_KIT_H
#define TESTS_UNIT_AGENT_KNOWN_KIT_H

#include "agent/service/known.h"
#include "base/mem.h"
#include "proto/text/text.h"

/* The message is JSON, written with ' for ". */
static inline void tell_known(struct known *k, const char *message)
{
    CLEANUP_FREE char *json = xstrdup(message);
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf wire = BUF_INIT;
    struct value *v;
    struct error err = {0};
    arena_init(&a);
    for (char *c = json; *c != '\0'; c++) {
        *c = *c == '\'' ? '"' : *c;
    }
    if (json_read(&a, str_of(json), &v, &err) != 0) {
        fail_msg("%s", err.message);
    }
    msgpack_write_value(&wire, v);
    known_told(k, mp_of(wire.data, wire.size));
}

#endif
