#include "proto/facts/configdata.h"

struct str configdata_text(const struct object *o, const char *key)
{
    return o == NULL ? STR_NONE : mp_str(mp_get(mp_get(object_mp(o), "data"), key));
}
