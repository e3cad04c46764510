"""What every test has: four devices in one process, for arrays that lie on several."""

import jax

jax.config.update("jax_num_cpu_devices", 4)
