#include <assert.h>

#include "base/mem.h"
#include "proto/pki/pki.h"

#define DAY_S   (INT64_C(24) * 3600)
#define HOUR_MS (INT64_C(3600) * 1000)

int64_t pki_renew_at_s(int64_t not_before_s, int64_t not_after_s, uint32_t random)
{
    int64_t life_s = MAX(not_after_s - not_before_s, 0);
    int64_t earlier_s = life_s / 30 * (random >> 16) >> 16; /* of 2^16 parts */
    return not_before_s + life_s / 3 * 2 - earlier_s;
}

int64_t pki_renew_pause_ms(int64_t not_before_s, int64_t not_after_s, unsigned failures)
{
    int64_t life_s = MAX(not_after_s - not_before_s, 0);
    int64_t first_ms = MIN(MAX(life_s, 1000), 60 * 1000); /* a thousandth of seconds is as many milliseconds */
    int64_t most_ms = MAX(MIN(life_s * 1000 / 30, HOUR_MS), 1000);
    return MIN(first_ms << MIN(failures, 12u), most_ms);
}

enum pki_state pki_cert_state(bool ca, int64_t not_before_s, int64_t not_after_s, int64_t now_s)
{
    int64_t life_s = MAX(not_after_s - not_before_s, 0), left_s = not_after_s - now_s;
    if (left_s <= 0) {
        return PKI_STATE_EXPIRED;
    }
    if (left_s < MIN(ca ? 365 * DAY_S : 30 * DAY_S, life_s * 3 / 10)) {
        return PKI_STATE_EXPIRING;
    }
    return !ca && now_s >= pki_renew_at_s(not_before_s, not_after_s, 0) ? PKI_STATE_RENEWING : PKI_STATE_OK;
}

const char *pki_state_text(enum pki_state state)
{
    static const char *const texts[] = {"ok", "renewing soon", "expiring", "expired"};
    assert((size_t)state < ARRAY_SIZE(texts));
    return texts[state];
}
