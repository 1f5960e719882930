/** The commands that speak Kerberos themselves: one part of the built program, compiled when one of them is called. */

export { doctorOf } from './doctor/doctor.ts';
export { gmsa } from './kerberos/gmsa.ts';
export { kdestroy } from './kerberos/kdestroy.ts';
export { keytab } from './kerberos/keytab.ts';
export { kinit } from './kerberos/kinit.ts';
export { klist } from './kerberos/klist.ts';
export { kpasswd } from './kerberos/kpasswd.ts';
export { krun } from './kerberos/krun.ts';
export { kswitch } from './kerberos/kswitch.ts';
export { kvno } from './kerberos/kvno.ts';
