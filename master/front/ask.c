/* Calls that wait for another master's answer, the leader's.
 *
 * A leader that hangs (stopped, cut off) keeps its connections, and what waits for it would wait for its timeout
 * although the others have long elected another one. So each waiting call is on a list; when this master learns of
 * another leader, those that wait for the former one are told at once: a read to try again, a write that its outcome is
 * unknown (a repetition with the same id is safe). The former leader's answer, if it still comes, is dropped. */
#include "master/front/ask.h"

#include <stdlib.h>

#include "master/front/errand.h"
#include "master/master.h"

struct asked {
    struct list link;      /* master.asked; in no list once the call was told */
    struct errand *errand; /* NULL: told already */
    uint64_t leader;
    rpc_result_cb *done; /* data is the errand */
};

static void answered(const struct rpc_result *result, void *data)
{
    struct asked *a = data;
    struct errand *e = a->errand;
    rpc_result_cb *done = a->done;
    list_remove(&a->link);
    free(a);
    if (e != NULL) {
        done(result, e);
    }
}

void errand_ask_leader(struct errand *e, uint64_t leader, const char *method, struct str params, int64_t timeout_ms,
                       rpc_result_cb *done)
{
    struct asked *a = xcalloc(1, sizeof *a);
    a->errand = e;
    a->leader = leader;
    a->done = done;
    list_push_back(&e->api.m->asked, &a->link);
    e->api.m->ask_master(e->api.m, leader, method, params, timeout_ms, answered, a);
}

void calls_on_leader_known(struct master *m, uint64_t leader)
{
    if (leader == 0) {
        return; /* the former one may come back */
    }
    LIST_FOR_SAFE(it, &m->asked)
    {
        struct asked *a = LIST_ENTRY(it, struct asked, link);
        if (a->leader != leader) {
            struct error err = {0};
            error_set(&err, ERR_CLOSED, "another master leads now");
            list_remove(&a->link);
            a->done(&(struct rpc_result){.error = &err, .sent = true}, TAKE_PTR(a->errand));
        }
    }
}
