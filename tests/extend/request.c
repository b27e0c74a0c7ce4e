/* A request of one file and one line: master/front/greeting.c. */
#include "master/front/call.h"

static void greeting(struct call *c)
{
    struct str name;
    if (!call_str(c, "name", &name, true)) {
        return;
    }
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_str(&b, "hello", name);
    mp_write_key_str(&b, "from", str_of(c->e.who->name));
    call_reply(c, &b);
}

const struct method request_greeting = {"greeting", greeting, 0, "name"};
