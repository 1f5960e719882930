// The other side of the gokrb5 bench: one warm process that does AS and TGS exchanges on demand.
//
//	gokrb5 KRB5CONF KEYTAB USER REALM SERVICE
//
// reads lines "as N" or "tgs N" and answers each with the nanoseconds N exchanges took. The timestamp is sent at once, as
// this project does too.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/types"
)

func main() {
	conf, err := config.Load(os.Args[1])
	check(err)
	keys, err := keytab.Load(os.Args[2])
	check(err)
	user, realm := os.Args[3], os.Args[4]
	service := types.NewPrincipalName(nametype.KRB_NT_SRV_INST, os.Args[5])
	settings := []func(*client.Settings){client.DisablePAFXFAST(true), client.AssumePreAuthentication(true)}
	login := func() messages.ASRep {
		c := client.NewWithKeytab(user, realm, keys, conf, settings...)
		request, err := messages.NewASReqForTGT(realm, conf, c.Credentials.CName())
		check(err)
		reply, err := c.ASExchange(realm, request, 0)
		check(err)
		return reply
	}
	tgt := login()
	asker := client.NewWithKeytab(user, realm, keys, conf, settings...)
	ticket := func() {
		_, _, err := asker.TGSREQGenerateAndExchange(service, realm, tgt.Ticket, tgt.DecryptedEncPart.Key, false)
		check(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var what string
		var times int
		_, err := fmt.Sscanf(lines.Text(), "%s %d", &what, &times)
		check(err)
		began := time.Now()
		for i := 0; i < times; i++ {
			if what == "as" {
				login()
			} else {
				ticket()
			}
		}
		fmt.Println(time.Since(began).Nanoseconds())
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
