<%@ Page Language="C#" %>
<asp:Repeater runat="server"><ItemTemplate>
<td><%# Eval("Name") %></td><td><%# Eval("Request.Id") %></td><td><%= Request["page"] %></td>
</ItemTemplate></asp:Repeater>
<asp:TextBox runat="server" id="q"/>
