// Package rotate renews the PATs and machine keys of a service user before they run out, without a moment in which no credential
// works.
//
//	r, err := rotate.New(rotate.Config{
//		Issuer: issuer, Kind: rotate.PAT, Store: rotate.NewFileStore("/var/lib/app/pat"),
//	})
//	report, err := r.Run(ctx) // from cron, a timer, a CronJob; or r.Keep(ctx) in a service
//
// Run does what is due. From two thirds of a credential's life on, which is 30 days by default, that is a renewal:
//
//  1. An intent is stored: the exact expiration date that the new credential will have, and that no other has.
//  2. The new credential is created. For keys the pair is generated here, and only its public half travels.
//  3. It is proven: the server is called with it.
//  4. It is stored. Programs that follow the file, as pat.FromFile and keyfile.Open do, take it up within seconds.
//  5. After a grace period for other replicas, the old one is removed, by the new one.
//
// Interrupted at any point, by a crash or by the network, the next run completes that or undoes it. What an interrupted run left
// at the server is recognised by the date that its intent names, and removed. A credential that no intent names is never
// removed, unless the record says that the stored one replaced it. The stored credential works at all times, and at most two are
// left of those that a Rotator made: the current one, and the one before it during the grace period.
//
// # Privileges
//
// None: on servers with the user service v2 a service user manages its own credentials without any role, and the stored
// credential makes the calls. Older servers are asked through management v1, which demands ORG_USER_MANAGER or ORG_OWNER.
//
// # The first credential
//
// An administrator makes it into an empty Store, by a Config with Source and UserID, and then all is on record. One that was put
// into the file by hand is taken over: a key names its id, and a PAT is known when it is the only one that the user has. A user
// with several keeps the old one until it expires, and Report.Left says so.
//
// # Replicas
//
// Replicas that share a credential share its Store, and may all run a Rotator: the Store's lock lets one through, and the others
// find nothing to do. Replicas with a Store each have a credential each, and may be of one user.
//
// Client lists, makes and removes credentials one by one, for keys in an HSM for example, see docs/hsm.md.
package rotate
