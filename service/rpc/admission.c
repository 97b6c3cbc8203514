#include "service/rpc/admission.h"

#include "service/api/access.h"

bool admission_admit(struct api_call *call, uint32_t rights, const struct admission *by,
                     struct arena *arena, struct failure *ret_why)
{
    struct principal principal = principal_unknown();
    assert(by->keys != NULL && call->method != NULL);
    if (rights != RIGHT_PUBLIC) {
        str shown = call->vtable->header(call, "authorization");
        if (!key_set_admit(by->keys, shown, by->now_ms, PROJECT_DEFAULT, arena, &principal,
                           ret_why)) {
            return false;
        }
    }
    return access_admit(call, rights, principal, arena, ret_why);
}
