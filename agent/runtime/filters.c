#include "agent/runtime/filters.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "proto/text/text.h"

struct filters {
    struct filters_row {
        char *profile; /* NULL = free */
        char *program; /* base64 */
    } rows[FILTERS_MAX];
    unsigned next; /* to be replaced */
};

struct filters *filters_new(void)
{
    return xcalloc(1, sizeof(struct filters));
}

static void forget(struct filters_row *row)
{
    free(row->profile);
    free(row->program);
    *row = (struct filters_row){0};
}

void filters_free(struct filters *f)
{
    for (unsigned i = 0; f != NULL && i < FILTERS_MAX; i++) {
        forget(&f->rows[i]);
    }
    free(f);
}

const char *filters_find(const struct filters *f, struct str profile)
{
    for (unsigned i = 0; i < FILTERS_MAX; i++) {
        if (f->rows[i].profile != NULL && str_is(profile, f->rows[i].profile)) {
            return f->rows[i].program;
        }
    }
    return NULL;
}

void filters_keep(struct filters *f, struct str profile, struct str program)
{
    bool whole = program.n > 0 && program.n % 8 == 0 && program.n <= FILTERS_PROGRAM_MAX; /* struct sock_filter */
    if (!whole || profile.n > FILTERS_PROFILE_MAX || filters_find(f, profile) != NULL) {
        return;
    }
    CLEANUP_BUF struct buf text = BUF_INIT;
    base64_write(&text, program.p, program.n);
    struct filters_row *row = &f->rows[f->next++ % FILTERS_MAX];
    forget(row);
    row->profile = xstrndup(profile.p, profile.n);
    row->program = xstrndup((const char *)text.data, text.size);
}
