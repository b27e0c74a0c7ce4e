#include "master/nodes/moments.h"

#include "base/mem.h"

static unsigned place(const struct moments *m, unsigned back)
{
    return (m->next + MOMENTS_MAX - 1 - back) % MOMENTS_MAX;
}

void moments_note(struct moments *m, uint64_t revision, int64_t now_ms)
{
    struct moment *last = &m->items[place(m, 0)];
    if (m->count > 0 && now_ms - last->at_ms < MOMENT_MS) {
        last->newest = revision;
        return;
    }
    m->items[m->next] = (struct moment){now_ms, revision};
    m->next = (m->next + 1) % MOMENTS_MAX;
    m->count = MIN(m->count + 1, MOMENTS_MAX);
}

int64_t moments_behind_ms(const struct moments *m, uint64_t revision, int64_t then_ms)
{
    int64_t since_ms = then_ms;
    for (unsigned back = 0; back < m->count; back++) {
        const struct moment *it = &m->items[place(m, back)];
        if (it->newest <= revision) {
            break;
        }
        since_ms = MIN(since_ms, it->at_ms);
    }
    return then_ms - since_ms;
}
