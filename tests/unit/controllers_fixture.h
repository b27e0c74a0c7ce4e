/* Controllers on a stage, with a clock and submits of the test. */
#ifndef TESTS_UNIT_CONTROLLERS_FIXTURE_H
#define TESTS_UNIT_CONTROLLERS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/failpoint.h"
#include "controllers/util.h"
#include "proto/text/text.h"
#include "tests/script/cluster.h"
#include "tests/script/stage.h"

struct fixture {
    struct cluster cluster;
    int refuse; /* so many submits are refused */
    unsigned submits;
    unsigned ops_most; /* of one of them */
    bool led;
    int64_t clock_step_ms; /* the clock moves by this at every look */
};

static inline int submit(void *data, const struct txn *t, struct error *err)
{
    struct fixture *f = data;
    f->submits++;
    f->ops_most = MAX(f->ops_most, t->count);
    if (f->refuse > 0) {
        f->refuse--;
        return error_set(err, ERR_CONFLICT, "refused by the test");
    }
    return stage_submit(&f->cluster.stage, t, err);
}
static inline const struct view *tip(void *data)
{
    struct fixture *f = data;
    return f->led ? stage_tip(&f->cluster.stage) : NULL;
}
static inline int64_t stepping_now(void *data)
{
    struct fixture *f = data;
    f->cluster.stage.now_ms += f->clock_step_ms;
    return f->cluster.stage.now_ms;
}
static inline int64_t wall(void *data)
{
    return STAGE_START_MS + ((struct fixture *)data)->cluster.stage.now_ms;
}

static inline void open_fixture(struct fixture *f, struct env *env)
{
    memset(f, 0, sizeof *f);
    f->led = true;
    stage_open(&f->cluster.stage, 1);
    *env = (struct env){f, stepping_now, wall, NULL, NULL};
    const struct controllers_config config = {.env = env, .seed = 1, .submit = submit, .tip = tip, .data = f};
    f->cluster.controllers = controllers_new(&config);
    f->cluster.stage.hooks = (struct stage_hooks){&f->cluster, cluster_observe, NULL, NULL};
    stage_apply(&f->cluster.stage, "namespace default");
    while (controllers_run(f->cluster.controllers, 1)) {
    }
}

static inline void close_fixture(struct fixture *f)
{
    controllers_free(f->cluster.controllers);
    stage_close(&f->cluster.stage);
}

static inline struct controllers_stats stats_of(const struct fixture *f)
{
    struct controllers_stats s;
    controllers_stats(f->cluster.controllers, &s);
    return s;
}

/* So many reconciles, one key a call. */
static inline void run_keys(struct fixture *f, unsigned reconciles)
{
    uint64_t until = stats_of(f).reconciles + reconciles;
    f->clock_step_ms = 10; /* one key a call */
    while (stats_of(f).reconciles < until && controllers_run(f->cluster.controllers, 1)) {
    }
    f->clock_step_ms = 0;
}

#endif
