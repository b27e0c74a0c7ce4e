/* How the master is, for probes and people: /livez (its loop turns, or nobody would answer), /readyz (it knows a
 * leader, and has applied what was there), /healthz, both. ?verbose lists the checks, ?exclude= leaves some out. */
#include <string.h>

#include "master/rest/call.h"
#include "master/rest/parts.h"

struct check {
    const char *name;
    bool ready; /* of /readyz, and not of /livez */
    bool (*holds)(const struct master *m);
};

static bool ping(const struct master *m)
{
    (void)m;
    return true;
}

static bool knows_leader(const struct master *m)
{
    const char *address;
    return replica_leading(m->replica) || replica_leader(m->replica, &address) != 0;
}

static bool is_staying(const struct master *m)
{
    return !m->stopping;
}

static const struct check checks[] = {
    {"ping", false, ping},
    {"leader", true, knows_leader},
    {"shutdown", true, is_staying},
};

static bool is_asked(const struct rest_call *c, const struct check *k)
{
    bool of_place = !k->ready || strcmp(c->path.health, "livez") != 0;
    return of_place && (c->path.name.n == 0 ? !str_is_among(str_of(k->name), c->o.exclude.n == 0 ? "" : c->o.exclude.p)
                                            : str_is(c->path.name, k->name));
}

void rest_tell_health(struct rest_call *c)
{
    CLEANUP_BUF struct buf lines = BUF_INIT, ok = BUF_INIT;
    bool good = true, any = false;
    for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
        if (is_asked(c, &checks[i])) {
            bool holds = checks[i].holds(c->e.api.m);
            buf_printf(&lines, "[%c]%s %s\n", holds ? '+' : '-', checks[i].name, holds ? "ok" : "failed");
            good &= holds;
            any = true;
        }
    }
    if (c->path.name.n > 0 && !any) {
        rest_answer_failure(c, 404, "there is no check \"%.*s\"", STR_ARG(c->path.name));
        return;
    }
    buf_printf(&lines, "%s check %s\n", c->path.health, good ? "passed" : "failed");
    buf_puts(&ok, "ok");
    bool brief = good && !c->o.verbose;
    rest_answer(c, good ? 200 : 500, "text/plain; charset=utf-8", brief ? &ok : &lines);
}
