/* Schedules and time zones. Input: the text of a schedule, NUL, four bytes (a time, in units of eleven hours), a zone
 * as a rule or as a file. Times ascend, each is one that its neighbours agree on, and the newest of a stretch is the
 * last of them. */
#include "proto/facts/schedule.h"
#include "tests/fuzz/fuzz.h"

#define STEPS 50u

static void check_spans(const struct zone *z, int64_t at_s)
{
    for (unsigned i = 0; i < STEPS && at_s < ZONE_ALWAYS_S; i++) {
        struct zone_span span = zone_span_at(z, at_s);
        CHECK(span.from_s <= at_s && at_s < span.to_s);
        CHECK(span.offset_s >= -ZONE_OFFSET_MAX_S && span.offset_s <= ZONE_OFFSET_MAX_S);
        CHECK(zone_span_at(z, span.to_s - 1).offset_s == span.offset_s);
        at_s = span.to_s;
    }
}

static void check_times(const struct schedule *s, const struct zone *z, int64_t from_s)
{
    int64_t newest = SCHEDULE_NEVER, t = from_s;
    unsigned n = 0;
    for (; n < STEPS; n++) {
        int64_t next = schedule_next(s, z, 0, t);
        CHECK(next > t);
        if (next == SCHEDULE_NEVER) {
            break;
        }
        CHECK(schedule_next(s, z, 0, next - 1) == next);
        newest = t = next;
    }
    struct schedule_due due = schedule_due(s, z, 0, from_s, t);
    CHECK(due.count == n && due.newest_s == newest);
    due = schedule_due(s, z, 0, from_s, t + 400 * 86400);
    CHECK(due.count >= n);
    CHECK(due.count == 0 ||
          (due.newest_s <= t + 400 * 86400 && schedule_next(s, z, 0, due.newest_s) > t + 400 * 86400));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    struct str text = fuzz_until(&f, 0);
    int32_t when = 0;
    for (unsigned i = 0; i < 4; i++) {
        when = (int32_t)((uint32_t)when << 8 | fuzz_byte(&f));
    }
    struct str bytes = fuzz_rest(&f);
    struct schedule s;
    struct error err = {0};
    int rc = schedule_parse(text, &s, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
    }
    struct zone *z = zone_from_rule(bytes);
    if (z == NULL) {
        err = (struct error){0};
        z = zone_from_file(bytes.p, bytes.n, &err);
        CHECK(z != NULL || err.code == ERR_INVALID);
    }
    int64_t at_s = (int64_t)when * 40000;
    if (z != NULL) {
        check_spans(z, at_s);
    }
    if (rc == 0) {
        check_times(&s, z, at_s);
    }
    zone_free(z);
    return 0;
}
