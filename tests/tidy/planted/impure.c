/* What the engine must never do, so that engine_purity_test is known to see it. */
#include <stdlib.h>
#include <time.h>

void *impure(void);

void *impure(void)
{
    return malloc((size_t)time(NULL));
}
